"""What the plan of a run is made of: specs of tasks, choices of branches, what runs again."""
