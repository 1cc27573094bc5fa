"""Optimizers of networks to compare against: KFAC, EKFAC, EMSA; SGD, RMSprop and Adam are torch's own."""
