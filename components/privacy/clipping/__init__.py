"""How clipped gradients are summed: by book-keeping where every layer has a rule, else by Opacus' own modes."""
