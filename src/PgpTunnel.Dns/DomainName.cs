using System.Text;

namespace PgpTunnel.Dns;

/// <summary>
/// A fully qualified domain name in wire form, lower-cased, at most 255 octets (RFC 1035 3.1).
/// Compares in the canonical order of RFC 4034 6.1.
/// </summary>
public sealed class DomainName : IEquatable<DomainName>, IComparable<DomainName>
{
    public static readonly DomainName Root = new([0]);

    private readonly byte[] _wire;
    private readonly byte[] _offsets;

    private DomainName(byte[] wire)
    {
        _wire = wire;
        var offsets = new List<byte>(8);
        for (var i = 0; wire[i] != 0; i += wire[i] + 1)
            offsets.Add((byte)i);
        _offsets = [.. offsets];
    }

    /// <summary>The lower-case wire form, root label included.</summary>
    public ReadOnlySpan<byte> Wire => _wire;

    /// <summary>Number of labels, the root label not counted.</summary>
    public int LabelCount => _offsets.Length;

    public bool IsRoot => _offsets.Length == 0;

    /// <summary>True when the leftmost label is <c>*</c> (RFC 4592).</summary>
    public bool IsWildcard => _wire[0] == 1 && _wire[1] == (byte)'*';

    /// <summary>The name without its leftmost label; the root is its own parent.</summary>
    public DomainName Parent => IsRoot ? this : Suffix(LabelCount - 1);

    /// <summary>The octets of label <paramref name="index"/>, counted from the left.</summary>
    public ReadOnlySpan<byte> Label(int index) => _wire.AsSpan(_offsets[index] + 1, _wire[_offsets[index]]);

    /// <summary>The ancestor (or this) that has the rightmost <paramref name="labels"/> labels.</summary>
    public DomainName Suffix(int labels) =>
        labels == LabelCount ? this
        : labels == 0 ? Root
        : new(_wire[_offsets[LabelCount - labels]..]);

    /// <summary>This name with one more label on the left.</summary>
    /// <exception cref="FormatException">The label or the name becomes too long.</exception>
    public DomainName Prepend(ReadOnlySpan<byte> label) => Concat([(byte)label.Length, .. label], this);

    public DomainName Prepend(string label) => Prepend(Encoding.ASCII.GetBytes(label));

    /// <summary>
    /// Replaces the suffix <paramref name="from"/> by <paramref name="to"/>, or null when the result is too long (RFC 6672 2.2).
    /// </summary>
    public DomainName? Rebase(DomainName from, DomainName to)
    {
        var prefix = _wire.AsSpan(0, _wire.Length - from._wire.Length);
        return prefix.Length + to._wire.Length > 255 ? null : Concat(prefix, to);
    }

    private static DomainName Concat(ReadOnlySpan<byte> prefix, DomainName suffix)
    {
        if (prefix.Length > 0 && prefix[0] is 0 or > 63)
            throw new FormatException("a label is empty or longer than 63 octets");
        if (prefix.Length + suffix._wire.Length > 255)
            throw new FormatException("the name is longer than 255 octets");
        return FromWire([.. prefix, .. suffix._wire]);
    }

    /// <summary>Takes ownership of an uncompressed, valid wire name and lower-cases it.</summary>
    internal static DomainName FromWire(byte[] wire)
    {
        for (var i = 0; wire[i] != 0; i += wire[i] + 1)
        for (var j = i + 1; j <= i + wire[i]; j++)
            if (wire[j] is >= (byte)'A' and <= (byte)'Z')
                wire[j] |= 0x20;
        return wire.Length == 1 ? Root ?? new([0]) : new(wire);
    }

    /// <summary>True when this name is <paramref name="other"/> or lies below it.</summary>
    public bool IsWithin(DomainName other) =>
        LabelCount >= other.LabelCount
        && _wire.Length >= other._wire.Length
        && _wire.AsSpan(_wire.Length - other._wire.Length).SequenceEqual(other._wire)
        && (other.IsRoot || _offsets.Contains((byte)(_wire.Length - other._wire.Length)));

    public bool IsBelow(DomainName other) => LabelCount > other.LabelCount && IsWithin(other);

    /// <summary>The longest name that both names lie within.</summary>
    public DomainName CommonAncestor(DomainName other)
    {
        var n = 0;
        while (
            n < LabelCount
            && n < other.LabelCount
            && Label(LabelCount - 1 - n).SequenceEqual(other.Label(other.LabelCount - 1 - n))
        )
            n++;
        return Suffix(n);
    }

    /// <summary>Parses presentation form: A-labels or U-labels, <c>\DDD</c> and <c>\X</c> escapes, final dot optional.</summary>
    /// <exception cref="FormatException">Not a domain name; the message says why.</exception>
    public static DomainName Parse(string text)
    {
        if (text == ".")
            return Root;
        if (text.Any(c => c > 0x7E))
            text = InternationalName.ToAscii(text);
        var wire = new List<byte>(text.Length + 2);
        var label = new List<byte>(63);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c == '.')
            {
                Close(i == text.Length - 1);
                continue;
            }
            if (c == '\\')
                c = Unescape(text, ref i);
            else if (c is <= ' ' or > '~')
                throw new FormatException($"the name '{text}' has a character that is not allowed");
            label.Add((byte)c);
        }
        if (label.Count > 0)
            Close(true);
        if (wire.Count == 0)
            throw new FormatException("the name is empty");
        wire.Add(0);
        if (wire.Count > 255)
            throw new FormatException($"the name '{text[..32]}…' is longer than 255 octets");
        return FromWire([.. wire]);

        void Close(bool last)
        {
            if (label.Count is 0 or > 63)
                throw new FormatException(
                    label.Count == 0 && !last
                        ? $"the name '{text}' has an empty label"
                        : $"the name '{text}' has a label that is empty or longer than 63 octets"
                );
            wire.Add((byte)label.Count);
            wire.AddRange(label);
            label.Clear();
        }
    }

    public static bool TryParse(string text, out DomainName name)
    {
        try
        {
            name = Parse(text);
            return true;
        }
        catch (FormatException)
        {
            name = Root;
            return false;
        }
    }

    private static char Unescape(string text, ref int i)
    {
        if (
            i + 3 < text.Length
            && char.IsAsciiDigit(text[i + 1])
            && byte.TryParse(text.AsSpan(i + 1, 3), out var value)
        )
        {
            i += 3;
            return (char)value;
        }
        if (i + 1 >= text.Length || text[i + 1] > '~')
            throw new FormatException($"the name '{text}' ends in an escape");
        return text[++i];
    }

    public int CompareTo(DomainName? other)
    {
        if (other is null)
            return 1;
        for (var i = 1; i <= LabelCount && i <= other.LabelCount; i++)
        {
            var order = Label(LabelCount - i).SequenceCompareTo(other.Label(other.LabelCount - i));
            if (order != 0)
                return order;
        }
        return LabelCount.CompareTo(other.LabelCount);
    }

    public bool Equals(DomainName? other) => other is not null && _wire.AsSpan().SequenceEqual(other._wire);

    public override bool Equals(object? obj) => Equals(obj as DomainName);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(_wire);
        return hash.ToHashCode();
    }

    public static bool operator ==(DomainName? a, DomainName? b) => a is null ? b is null : a.Equals(b);

    public static bool operator !=(DomainName? a, DomainName? b) => !(a == b);

    public static bool operator <(DomainName a, DomainName b) => a.CompareTo(b) < 0;

    public static bool operator >(DomainName a, DomainName b) => a.CompareTo(b) > 0;

    public static bool operator <=(DomainName a, DomainName b) => a.CompareTo(b) <= 0;

    public static bool operator >=(DomainName a, DomainName b) => a.CompareTo(b) >= 0;

    /// <summary>Presentation form without the final dot; the root is <c>.</c>.</summary>
    public override string ToString()
    {
        if (IsRoot)
            return ".";
        var text = new StringBuilder(_wire.Length);
        for (var i = 0; i < LabelCount; i++)
        {
            if (i > 0)
                text.Append('.');
            foreach (var b in Label(i))
            {
                if (b is (byte)'.' or (byte)'\\')
                    text.Append('\\').Append((char)b);
                else if (b is > 0x20 and < 0x7F)
                    text.Append((char)b);
                else
                    text.Append('\\').Append(b.ToString("D3"));
            }
        }
        return text.ToString();
    }
}
