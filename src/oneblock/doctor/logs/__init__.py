"""What happened in a training, from its log alone: onsets, and the causes they are consistent with."""
