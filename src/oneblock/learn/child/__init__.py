"""What runs in the learner's process: it computes and answers, and knows neither what is right nor who asks.

Imports torch and nothing of the rest of the package.
"""
