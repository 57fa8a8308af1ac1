"""Work of the operator of the team's database."""
