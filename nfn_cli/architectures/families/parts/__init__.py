"""What reference modules are made of: plain operators that an exported graph shows as they are."""
