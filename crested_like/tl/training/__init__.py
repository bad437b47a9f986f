"""Training and measuring models: ``fit`` and ``evaluate``, and what a recipe is made of."""
