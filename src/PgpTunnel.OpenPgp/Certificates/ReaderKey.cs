namespace PgpTunnel.OpenPgp;

/// <summary>The certificate of somebody who is to read what is kept. Only <see cref="Certificate.JudgeReader"/> makes one.</summary>
public sealed class ReaderKey
{
    internal ReaderKey(string fingerprint, PublicKey encryption) =>
        (Fingerprint, Encryption) = (fingerprint, encryption);

    /// <summary>Fingerprint of the primary key, lower-case hex.</summary>
    public string Fingerprint { get; }

    internal PublicKey Encryption { get; }
}
