"""The one error that is the user's to mend."""


class NasError(ValueError):
    """Bad input: its text is one sentence naming the value, the field and what is accepted.

    The command line prints the sentence alone and exits with code 2.
    """
