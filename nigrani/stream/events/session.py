"""`network.session`: what ordinary IT protocols said (HTTP, TLS, SIP, RTP, SMB2, MQTT, SSH, Kerberos, RDP, DHCP)."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Address, Conversation, Count, Domain, Mac, Name, User, Word


class NetworkSession(Conversation, kw_only=True, tag="network.session"):
    """One kind of act of one conversation; `network.protocol` says which of the groups below is filled."""

    protocol: Word = field(name="network.protocol")
    action: Word = field(name="event.action", default="")
    """The protocol's own command: GET, client_hello, INVITE, write, CONNECT, AS-REQ, REQUEST, …; `media` of RTP."""
    status: Word = field(name="nigrani.session.status", default="")
    """The protocol's own result: HTTP or SIP status, NTSTATUS as eight hexadecimal digits, Kerberos error code."""
    outcome: Word = field(name="event.outcome", default="")
    """success, failure, or empty while not known."""
    size: Count = field(name="nigrani.session.bytes", default=0)
    """Payload bytes the act carried, where the protocol declares them."""
    authorization: Word = field(name="nigrani.http.authorization", default="")
    content_type: Word = field(name="http.request.mime_type", default="")
    client: Word = field(name="user_agent.name", default="")
    server_name: Domain = field(name="tls.client.server_name", default="")
    tls_version: Word = field(name="tls.version", default="")
    ja4: Word = field(name="tls.client.ja4", default="")
    alpn: Word = field(name="tls.next_protocol", default="")
    share: Name = field(name="smb.share", default="")
    share_kind: Word = field(name="nigrani.smb.share_kind", default="")
    """admin (ADMIN$, C$, …), ipc, disk or print."""
    pipe: Word = field(name="nigrani.smb.pipe", default="")
    """A well-known named pipe that was opened (svcctl, atsvc, samr, …), or `other`."""
    interface: Word = field(name="nigrani.rpc.interface", default="")
    """A well-known RPC interface that a pipe was bound to (svcctl, drsuapi, FileServerVssAgent, …)."""
    version: Word = field(name="nigrani.session.version", default="")
    """Negotiated or announced protocol version (SMB dialect, MQTT level, …)."""
    client_software: Word = field(name="nigrani.session.client_software", default="")
    """SSH identification string, RDP client build, DHCP vendor class."""
    server_software: Word = field(name="nigrani.session.server_software", default="")
    client_name: Name = field(name="nigrani.session.client_name", default="")
    """MQTT client id, DHCP or RDP host name."""
    user: User = field(name="user.name", default="")
    """Who logs in; in the answer to a SIP REGISTER the account that is registered."""
    contact: Address = field(name="nigrani.sip.contact", default="")
    """Where a registrar now reaches the account: the first of its contacts."""
    contacts: Count = field(name="nigrani.sip.contacts", default=0)
    """Contacts that a registrar now holds for the account; 0 after it was taken off."""
    media: Address = field(name="nigrani.sip.media", default="")
    """Where the offer or answer of a call wants its media: the first address of its session description."""
    realm: Name = field(name="kerberos.realm", default="")
    service: Name = field(name="kerberos.service", default="")
    encryption: Word = field(name="kerberos.encryption", default="")
    fingerprint: Word = field(name="dhcp.fingerprint", default="")
    """Option 55 parameter list in its order, comma-separated: tells kinds of device apart."""
    client_mac: Mac = field(name="dhcp.client_mac", default="")
