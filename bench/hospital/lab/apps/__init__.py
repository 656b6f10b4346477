"""The servers that have no Debian package: a model server, a FHIR server and an MLLP receiver."""
