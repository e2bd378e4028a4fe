using System.Security.Cryptography;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

public sealed class Curve25519Tests
{
    [Theory]
    [MemberData(nameof(Lines))]
    public void Agrees(string line)
    {
        var (given, expected) = Vectors.Split(line);
        var (scalar, point) = given.Split(' ') is [var s, var p]
            ? (Convert.FromHexString(s), Convert.FromHexString(p))
            : throw new FormatException(line);
        if (expected == "none")
            Assert.Throws<CryptographicException>(() => Curve25519.Instance.Agree(scalar, point));
        else
            Assert.Equal(expected, Convert.ToHexStringLower(Curve25519.Instance.Agree(scalar, point)));
    }

    public static TheoryData<string> Lines => Vectors.Lines("x25519.txt");

    /// <summary>The library would read beyond what is shorter.</summary>
    [Theory]
    [InlineData(31, 32)]
    [InlineData(32, 31)]
    [InlineData(0, 32)]
    [InlineData(33, 32)]
    public void TakesNothingOfAnotherLength(int scalar, int point) =>
        Assert.Throws<CryptographicException>(() => Curve25519.Instance.Agree(new byte[scalar], new byte[point]));
}
