"""The small image encoder that stands for published weights where none are named: it has learnt the findings.

A residual network trained on the labels of the train split (scripts/backbone_train.py). Systems whose papers
start from pretrained encoders start from it in the demonstration, and it is a model to compare theirs with.
"""
