"""An article that tests read: two paragraphs, and what people asked about them."""

LIGHT = (
    "Skarn Light was built in 1854 by the engineer Mary Oswald, and it stands on a rock in the "
    "North Firth. The tower has 212 steps, while its lamp could be seen for 31 kilometres. It was "
    "lit with whale oil until 1890. Oswald never saw the tower finished, because a storm had "
    "closed the harbour of Dunmoor."
)
KEEPERS = (
    "The first keeper of Skarn Light was John Tarrel, who kept a diary from 1855 until his death. "
    "A second keeper, Peter Hale, joined the crew in 1861 and stayed for 19 years. Visitors have "
    "climbed the tower since 1932, when Anna Brock opened a museum in the old store. Some 14,000 "
    "people come to the museum every summer."
)
QUESTIONS = (
    (LIGHT, "When was Skarn Light built?", "1854"),
    (LIGHT, "Who built Skarn Light on its rock?", "Mary Oswald"),
    (LIGHT, "How many steps does the tower have?", "212"),
    (KEEPERS, "Who was the first keeper of Skarn Light?", "John Tarrel"),
    (KEEPERS, "Who joined the crew as the second keeper?", "Peter Hale"),
    (KEEPERS, "When did Hale join the crew?", "1861"),
    (KEEPERS, "Who opened a museum in the old store?", "Anna Brock"),
    (KEEPERS, "Since when have visitors climbed the tower?", "1932"),
)
