"""What runs used and what that costs, by day, model, agent, project or tool."""
