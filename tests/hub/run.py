"""A run at the micro scale on the corpus and text of the environment, as a notebook's kernel reads it.

It writes the results table. The artifacts are those of the project that `helpers` is imported from.
"""

import sys
from dataclasses import replace

from helpers import experiment, settings
from helpers.running import artifacts
from tests.micro import MICRO, workshop

SCALE = replace(MICRO, arms=("span",), tokens=(8_192,), labelled_sentences=(20,), subsets=1)

if __name__ == "__main__":
    with workshop(artifacts.FOLDER):
        table = experiment.results(replace(settings.from_environment(), scale=SCALE))
    table.to_csv(sys.stdout, index=False)
