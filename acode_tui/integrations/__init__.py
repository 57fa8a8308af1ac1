"""Ways for other programs and libraries to reach a workspace; each is an optional extra of the package."""
