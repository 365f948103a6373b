"""This package sets up other servers for the same ONNX file, each as its own documentation recommends for throughput.

    environments.py     a virtual environment for each, with pinned versions, under runs/peers/
    setups.py           what is measured: every server, in every set-up that could be its fastest
    asking.py           how servers are asked that do not speak the Open Inference Protocol

    mlserver_server.py, litserve_server.py, bentoml_server.py, triton_server.py

The last four run in their server's environment and import nothing of this project but the session that all share.
"""
