"""From a module to labels: `torch.export` on the meta device, then one rule an operator."""
