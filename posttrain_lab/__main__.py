"""`python -m posttrain_lab` is the same as the command `posttrain-lab`."""

from posttrain_lab.cli.app import main

if __name__ == "__main__":
    main()
