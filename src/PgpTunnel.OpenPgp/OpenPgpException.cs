namespace PgpTunnel.OpenPgp;

/// <summary>Octets that are not the OpenPGP this program takes; the message says which rule they break.</summary>
public sealed class OpenPgpException(string message) : Exception(message);
