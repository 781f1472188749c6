"""The group on labels: elements, their action, normal forms and alignment."""
