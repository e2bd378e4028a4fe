using System.Security.Cryptography;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

public class CfbTests
{
    /// <summary>Against the platform's own CFB, with every length about a block and about the borders of our pieces.</summary>
    [Theory]
    [InlineData(16)]
    [InlineData(32)]
    public void It_is_the_platforms_CFB(int keySize)
    {
        var key = RandomNumberGenerator.GetBytes(keySize);
        using var aes = Aes.Create();
        aes.Key = key;
        foreach (
            var size in Enumerable
                .Range(0, 50)
                .Concat(Enumerable.Range((64 * 1024) - 17, 35))
                .Concat([200_000, 200_001])
        )
        {
            var clear = RandomNumberGenerator.GetBytes(size);
            var padded = new byte[(size + 15) / 16 * 16];
            clear.CopyTo(padded, 0);
            var expected = aes.EncryptCfb(padded, new byte[16], PaddingMode.None, 128)[..size];
            var octets = clear.ToArray();
            Cfb.Encrypt(key, octets);
            Assert.Equal(expected, octets);
            using (var pieces = new Cfb.Encryptor(key))
                for (var at = 0; at < size; at += 32 * 1024)
                    pieces.Encrypt(clear.AsSpan(at, Math.Min(32 * 1024, size - at)));
            Assert.Equal(expected, clear);
            Cfb.Decrypt(key, octets, octets = new byte[size]);
            Assert.Equal(expected.Length, octets.Length);
            Cfb.Encrypt(key, octets);
            Assert.Equal(expected, octets);
        }
    }
}
