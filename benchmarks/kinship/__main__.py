import sys, torch
from pathlib import Path
import independent, make
from kinds import KINDS
torch.set_num_threads(1)
folder = Path(sys.argv[2]); names = sys.argv[3].split(",")
if sys.argv[1]=="null": independent.make(folder, names, sys.argv[4:])
else: make.make_families(folder, names, sys.argv[4])
