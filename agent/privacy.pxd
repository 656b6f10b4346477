# What privacy reads as C: the types of its arguments; its own stand in privacy.py.

from agent.flow cimport Ends, FlowRecord
from agent.protocol cimport Fact
