# What the meter makes and calls as C; its own types stand in meter.py.

from agent.flow cimport Ends, FlowRecord
from agent.protocol cimport Fact, Parser
