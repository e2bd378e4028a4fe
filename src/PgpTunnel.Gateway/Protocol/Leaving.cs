namespace PgpTunnel;

/// <summary>In what shape a parcel may leave, whatever is decided later.</summary>
public enum Leaving
{
    /// <summary>As the policy says when its turn comes; what is sealed stays sealed.</summary>
    AsDecided,

    /// <summary>Never in clear.</summary>
    SealedOnly,

    /// <summary>Made while the peer only tests: refusals for good let it go in clear, for as long as that is so.</summary>
    ClearAfterTest,

    /// <summary>A parcel of a gateway's that our own mail server sends on: never sealed, never decided about.</summary>
    Exempt,
}
