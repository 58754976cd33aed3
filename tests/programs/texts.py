"""The texts that the programs work on: five subjects, nine texts each."""

TEXTS = [
    f"{start} {rest}"
    for starts, rests in [
        (
            ("The cat", "My old dog", "A hungry rabbit"),
            ("sleeps on the warm sofa.", "hides from the loud vacuum cleaner.", "waits for its dinner in the kitchen."),
        ),
        (
            ("The monthly rent", "A late mortgage payment", "The landlord's invoice"),
            ("is due on the first of June.", "must be transferred to the bank.", "went up by five percent this year."),
        ),
        (
            ("Our football team", "The young goalkeeper", "A tired striker"),
            ("won the final after extra time.", "missed an easy penalty.", "trains in the stadium every Monday."),
        ),
        (
            ("Fresh bread dough", "The tomato soup", "A chocolate cake"),
            ("needs an hour in the oven.", "tastes better with a pinch of salt.", "is an old family recipe."),
        ),
        (
            ("The space telescope", "A distant galaxy", "The new rocket"),
            ("orbits far above the Earth.", "was photographed by astronomers.", "will be studied by scientists."),
        ),
    ]
    for start in starts
    for rest in rests
]
QUERY = "When do I have to pay for my flat?"
