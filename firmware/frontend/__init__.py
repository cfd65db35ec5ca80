"""The audio front end in integers: from 16-bit samples to the int8 features that a network reads.

``tables`` derives the constants of a ``FrontEnd``, ``reference`` is the specification in numpy; torch (for training)
and C (for the device) compute the same integers.
"""
