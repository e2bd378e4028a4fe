namespace PgpTunnel.OpenPgp;

/// <summary>The algorithms a gateway key can have.</summary>
public enum GatewayAlgorithm
{
    /// <summary>Ed25519 and X25519 in the version 4 ids 22 and 18, which every OpenPGP program reads.</summary>
    Ed25519,
    P256,
    Rsa3072,
}

/// <summary>What the keys of one gateway key are made by.</summary>
/// <param name="Signing">Ids of signing keys that belong to it.</param>
internal sealed record Suite(
    GatewayAlgorithm Algorithm,
    int[] Signing,
    Func<NewKey> MakeSigning,
    Func<NewKey> MakeEncryption
)
{
    private static readonly Suite[] All =
    [
        new(
            GatewayAlgorithm.Ed25519,
            [KeyAlgorithm.EdDsaLegacy, KeyAlgorithm.Ed25519],
            EdDsaLegacyPublic.Make,
            () => EcdhPublic.Make(Curve25519.Instance)
        ),
        new(
            GatewayAlgorithm.P256,
            [KeyAlgorithm.Ecdsa],
            () => EcdsaPublic.Make(NistCurve.P256),
            () => EcdhPublic.Make(NistCurve.P256)
        ),
        new(GatewayAlgorithm.Rsa3072, [KeyAlgorithm.Rsa], RsaPublic.Make, RsaPublic.Make),
    ];

    public static Suite Of(GatewayAlgorithm algorithm) => All.First(s => s.Algorithm == algorithm);

    /// <summary>The one that a primary key is of.</summary>
    public static Suite Of(PublicKey primary) => All.First(s => s.Signing.Contains(primary.Algorithm));
}
