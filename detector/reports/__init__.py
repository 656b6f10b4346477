"""Reports to authorities and peers on a case: drafts of CERT-In's form and of the DPDP intimations, STIX, evidence."""
