namespace PgpTunnel.Evidence;

/// <summary>Something in a log, a bundle or a receipt is not as it must be; the message says what.</summary>
public sealed class EvidenceException(string message) : Exception(message);
