"""The attacks of the morning, in the order in which they happen."""

from __future__ import annotations

from lab.attack import Attack
from lab.attacks import dicom, exfiltration, gateway, reconnaissance, records


def all_attacks() -> list[Attack]:
    """From the first scan to the last byte stolen."""
    return [
        Attack("port_scan", "rogue", "pacs, fileserver, lis, ai", reconnaissance.port_scan, ("port_scan",)),
        Attack("ae_guess", "rogue", "pacs", dicom.guess_titles, ("association_reject_burst", "rogue_ae_title")),
        Attack("cfind_enumeration", "ws3", "pacs", dicom.enumerate_patients, ("cfind_enumeration", "anomaly-collection")),
        Attack("bulk_cmove", "ws3", "pacs, to AE DROPBOX on rogue", dicom.move_everything, ("bulk_move_new_destination",)),
        Attack("dicom_cleartext_out", "ws3", "drop", dicom.send_abroad, ("cleartext_leaving_site",)),
        Attack("hl7_flood", "rogue", "lis", records.flood_hl7, ("flood", "unknown_sender")),
        Attack("ai_extraction", "portal", "ai", gateway.extract_model, ("query_burst", "unknown_client")),
        Attack("smb_ransomware", "ws2", "fileserver", records.encrypt_share, ("rename_write_burst", "anomaly-files")),
        Attack("tls_exfiltration", "ai", "drop", exfiltration.upload, ("anomaly-exfiltration",)),
        Attack("dns_tunnel", "ws1", "dns", exfiltration.tunnel, ("tunnel",)),
    ]
