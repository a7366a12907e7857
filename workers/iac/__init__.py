"""The process of an iac script: it imports no operators, so that it starts soon."""
