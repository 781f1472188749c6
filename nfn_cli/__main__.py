"""`python -m nfn_cli` is `nfn`."""

from nfn_cli.cli.app import main

if __name__ == "__main__":
    main()
