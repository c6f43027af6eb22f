# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 Deployment: can your own network run on a phone, on a chip, and inside a budget?
#
# Say in a few sentences what this unit is about.
#
# **The question.** Ask a question that is answered below by measuring.
#
# **You need** Python and a little PyTorch (tensors). No other unit comes first.
#
# **How it works.** There are no exercises; the unit takes about 5 minutes. Replace `raise NotImplementedError`
# with your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring.
# The next one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you
# like. In a terminal, `posttrain-lab check 08` shows the points of the whole notebook. The words of the field
# stand in the [glossary](../glossary.md).

# %% tags=["setup"]
import torch
from torch import Tensor

from posttrain_lab import checks

torch.set_num_threads(1)  # one thread: times can be compared

# %% [markdown]
# ## What the numbers say
#
# Answer the question of the beginning by the numbers above; say also where the technique lost.
