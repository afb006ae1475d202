"""The only room that talks to an EVM: node, artifacts, deployment, reader, in-process EVM."""
