using System.Security.Cryptography;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Evidence;

/// <summary>
/// The list of a bundle's files with their SHA-256, as <c>sha256sum</c> writes and checks one, and the signature of whoever made it.
/// </summary>
public static class Sums
{
    private const string List = "SHA256SUMS",
        Signature = "SHA256SUMS.asc";

    /// <summary>The files that the list is about.</summary>
    private static IEnumerable<string> Listed(BundleFiles files) =>
        files.Names.Where(n => n is not (List or Signature));

    private static string Of(BundleFiles files) =>
        string.Concat(Listed(files).Select(n => $"{Convert.ToHexStringLower(SHA256.HashData(files[n]!))}  {n}\n"));

    /// <summary>Adds the list and its signature, when all else is there.</summary>
    public static void Add(BundleFiles files, GatewayKey signer, DateTimeOffset now)
    {
        var list = Encoding.ASCII.GetBytes(Of(files));
        files.Add(List, list);
        files.Add(Signature, Armor.Encode(Armor.Signature, DetachedSignature.Make(list, signer, now)));
    }

    /// <summary>The first thing that is not as the list has it; null = all is.</summary>
    public static string? Difference(BundleFiles files)
    {
        if (files[List] is not { } list)
            return $"{List} is missing";
        var (wanted, there) = (Lines(Encoding.Latin1.GetString(list)), Lines(Of(files)));
        return there.Except(wanted).Concat(wanted.Except(there)).FirstOrDefault() is { } line
                ? $"{line[(line.LastIndexOf(' ') + 1)..]} is not as {List} has it"
            : wanted.Length != there.Length ? $"{List} names a file twice"
            : null;
    }

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <returns>Who of these has signed the list, and when; null = none of them.</returns>
    public static (SignerKey Key, DateTimeOffset At)? Signer(BundleFiles files, IEnumerable<SignerKey> keys)
    {
        if (files[List] is not { } list || files[Signature] is not { } armored)
            return null;
        try
        {
            var packet = Armor.Decode(Armor.Signature, armored);
            if (!Armor.Encode(Armor.Signature, packet).AsSpan().SequenceEqual(armored))
                return null; // as it was written, and nothing around it
            foreach (var key in keys)
                if (DetachedSignature.Verify(list, packet, key) is { } at)
                    return (key, at);
        }
        catch (OpenPgpException)
        {
            // no signature at all
        }
        return null;
    }
}
