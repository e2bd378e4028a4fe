using System.Globalization;
using System.Text;

namespace PgpTunnel.Dns;

/// <summary>
/// Names with U-labels, as IDNA 2008 has them (RFC 5891, RFC 5892). No normalisation is at hand here, so what would need it first (another
/// spelling of a letter, marks out of order) is refused: taken as it stands it would name another domain than the one meant.
/// </summary>
internal static class InternationalName
{
    /// <summary>The name in A-labels.</summary>
    /// <exception cref="FormatException">A character is not allowed where it stands, or a label is too long.</exception>
    public static string ToAscii(string text)
    {
        int[] name = [.. text.EnumerateRunes().Select(r => r.Value)];
        if (
            Enumerable.Range(0, name.Length).FirstOrDefault(i => name[i] > '~' && !Fits(name, i), -1)
            is var bad
                and >= 0
        )
            throw new FormatException(
                $"the name '{text}' has the character U+{name[bad]:X4}, which is no letter there; give the name in its xn-- form"
            );
        return string.Join(
            '.',
            text.ToLowerInvariant().Split('.', (char)IdeographicStop).Select(l => ToAscii(text, l))
        );
    }

    private static string ToAscii(string name, string text)
    {
        if (Ascii.IsValid(text))
            return text;
        int[] label = [.. text.EnumerateRunes().Select(r => r.Value)];
        if (Objection(label) is { } objection)
            throw new FormatException($"the name '{name}' has the label '{text}', which {objection}");
        var encoded = $"xn--{Punycode.Encode(label)}";
        return encoded.Length <= LongestLabel
            ? encoded
            : throw new FormatException($"the name '{name}' has the label '{text}', which is too long as '{encoded}'");
    }

    private const int LongestLabel = 63; // octets (RFC 1035 2.3.4)

    /// <summary>Why these letters are no U-label (RFC 5891 4.2.2, 4.2.3; RFC 5893 2), or null.</summary>
    private static string? Objection(int[] label) =>
        label.Length > LongestLabel ? $"has more than {LongestLabel} letters"
        : Array.Exists(label, c => c < 0x80 && !char.IsAsciiLetterOrDigit((char)c) && c != '-')
            ? "has more than letters, digits and hyphens"
        : label[0] == '-' || label[^1] == '-' || label is [_, _, '-', '-', ..] ? "has a hyphen where none may be"
        : Array.Exists(label, IsRightToLeft) && !IsRightToLeftLabel(label) ? "is written in both directions"
        : null;

    // Right to left (RFC 5893 2)

    /// <summary>Of class R, AL or AN: Hebrew, Arabic, Syriac, Thaana, N'Ko and their like stand together.</summary>
    private static bool IsRightToLeft(int c) => c is >= 0x0590 and <= 0x08FF && !In(ExtendedArabicDigits, c);

    /// <summary>It begins with a letter of such a script, has besides only digits, hyphens and joiners, and ends in no joiner.</summary>
    private static bool IsRightToLeftLabel(int[] label) =>
        IsRightToLeft(label[0])
        && !In(ArabicDigits, label[0])
        && !IsJoiner(label[^1])
        && Array.TrueForAll(label, c => IsRightToLeft(c) || IsEuropeanDigit(c) || c == '-' || IsJoiner(c))
        && !(Array.Exists(label, c => In(ArabicDigits, c)) && Array.Exists(label, IsEuropeanDigit));

    private static bool IsEuropeanDigit(int c) => c is >= '0' and <= '9' || In(ExtendedArabicDigits, c);

    private static bool IsJoiner(int c) => c is 0x200C or 0x200D;

    private static bool Fits(int[] name, int at)
    {
        var (before, after) = (at > 0 ? name[at - 1] : '.', at + 1 < name.Length ? name[at + 1] : '.');
        return name[at] == IdeographicStop
            || IsLetter(name[at])
            || IsMarkInPlace(before, name[at])
            || IsInContext(name, at, before, after);
    }

    private const int IdeographicStop = 0x3002; // what a Japanese keyboard writes for a dot

    // Letters and digits (RFC 5892 2.1)

    private static bool IsLetter(int c) =>
        !In(Disallowed, c)
        && (c <= 0xFFFF || In(SupplementaryIdeographs, c))
        && CharUnicodeInfo.GetUnicodeCategory(c) switch
        {
            UnicodeCategory.LowercaseLetter or UnicodeCategory.UppercaseLetter or UnicodeCategory.OtherLetter => true,
            UnicodeCategory.ModifierLetter => In(ModifierLetters, c),
            UnicodeCategory.DecimalDigitNumber => !In(ArabicDigits, c) && !In(ExtendedArabicDigits, c),
            _ => c == 0x3007, // ideographic zero (2.6)
        };

    /// <summary>Letters that normalisation or folding would change (2.2, and U+0130), invisible ones, and old Hangul (2.9).</summary>
    private static readonly (int, int)[] Disallowed = Ranges(
        """
        00AA 00B5 00BA 0130 0132-0133 013F-0140 0149 017F 01C4-01CC 01F1-01F3 03D0-03D6 03F0-03F2 03F5 03F9 0587 0675-0678 0958-095F
        09DC-09DD
        09DF 0A33 0A36 0A59-0A5B 0A5E 0B5C-0B5D 0E33 0EB3 0EDC-0EDD 0F43 0F4D 0F52 0F57 0F5C 0F69 1100-11FF 13A0-13F5 13F8-13FD 1C80-1C88
        1D00-1DBF 1E9A-1E9B 1E9E 1F71 1F73 1F75 1F77 1F79 1F7B 1F7D 1F80-1F87 1F90-1F97 1FA0-1FA7 1FB2-1FB4 1FB7 1FBB 1FBE 1FC2-1FC4
        1FC7 1FC9
        1FCB 1FD3 1FDB 1FE3 1FEB 1FF2-1FF4 1FF7 1FF9 1FFB 2100-218F 309F 30FF 3131-318E A960-A97C AB70-ABBF D7B0-D7FB F900-FFFF
        """
    );

    private static readonly (int, int)[] ModifierLetters = Ranges(
        "0559 06E5-06E6 0971 0E46 0EC6 17D7 3005 309D-309E 30FC-30FE"
    );
    private static readonly (int, int)[] SupplementaryIdeographs = Ranges("20000-2A6DF 2A700-2EBE0 30000-3134A");

    // Marks: the vowel signs of India, Thailand, Laos, Burma and Cambodia

    /// <summary>
    /// A mark begins no label (RFC 5891 4.2.3.2), does not stand before one that sorts behind it, and is not what a composed letter has
    /// already.
    /// </summary>
    private static bool IsMarkInPlace(int before, int c) =>
        CombiningClass(c) is { } order
        && before is not ('.' or '-' or IdeographicStop)
        && !(order > 0 && CombiningClass(before) > order)
        && !(In(Composing, c) && (CombiningClass(before) == 0 || In(ComposingBases, before)));

    /// <summary>Its Canonical_Combining_Class; null where it is no mark, or one of a script whose order is not known here.</summary>
    private static int? CombiningClass(int c) =>
        c > 0xFFFF
        || In(DisallowedMarks, c)
        || CharUnicodeInfo.GetUnicodeCategory(c)
            is not (UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark)
            ? null
        : In(Nuktas, c) ? 7
        : In(Viramas, c) ? Virama
        : In(Ranges103, c) ? 103
        : In(Ranges107, c) ? 107
        : In(Ranges118, c) ? 118
        : In(Ranges122, c) ? 122
        : In(VowelSigns, c) ? 0
        : null;

    private const int Virama = 9;
    private static readonly (int, int)[] Nuktas = Ranges("093C 09BC 0A3C 0ABC 0B3C 0C3C 0CBC 1037");
    private static readonly (int, int)[] Viramas = Ranges(
        "094D 09CD 0A4D 0ACD 0B4D 0BCD 0C4D 0CCD 0D3B-0D3C 0D4D 0DCA 0E3A 0EBA 1039-103A 17D2"
    );
    private static readonly (int, int)[] Ranges103 = Ranges("0E38-0E39"),
        Ranges107 = Ranges("0E48-0E4B"),
        Ranges118 = Ranges("0EB8-0EB9"),
        Ranges122 = Ranges("0EC8-0ECB");
    private static readonly (int, int)[] VowelSigns = Ranges("0900-0DFF 0E31-0EFF 1000-109F 1780-17FF");
    private static readonly (int, int)[] DisallowedMarks = Ranges("0951-0954 09FE 0C55 108D 17B4-17B5 17DD");
    private static readonly (int, int)[] Composing = Ranges(
        "093C 09BE 09D7 0B3E 0B56-0B57 0BBE 0BD7 0C56 0CC2 0CD5-0CD6 0D3E 0D57 0DCA 0DCF 0DDF 102E"
    );
    private static readonly (int, int)[] ComposingBases = Ranges("0928 0930 0933 0B92 1025");

    // What is a letter in its place, and nowhere else (RFC 5892 appendix A)

    private static bool IsInContext(int[] name, int at, int before, int after)
    {
        var label = name[
            (Array.LastIndexOf(name, '.', at) + 1)..(
                Array.IndexOf(name, '.', at) is var end and >= 0 ? end : name.Length
            )
        ];
        return name[at] switch
        {
            0x200C => CombiningClass(before) == Virama || (JoinsOn(before) && Joins(after)), // A.1 zero width non-joiner
            0x200D => CombiningClass(before) == Virama, // A.2 zero width joiner
            0x00B7 => before is 'l' or 'L' && after is 'l' or 'L', // A.3 middle dot
            0x0375 => after is (>= 0x0370 and <= 0x03FF) or (>= 0x1F00 and <= 0x1FFF), // A.4 Greek keraia
            0x05F3 or 0x05F4 => before is >= 0x05D0 and <= 0x05EA, // A.5, A.6 geresh, gershayim
            0x30FB => Array.Exists(label, c => In(Japanese, c)), // A.7 Katakana middle dot
            >= 0x0660 and <= 0x0669 => !Array.Exists(label, c => In(ExtendedArabicDigits, c)), // A.8, A.9: not the two
            >= 0x06F0 and <= 0x06F9 => !Array.Exists(label, c => In(ArabicDigits, c)), // kinds of digits together
            _ => false,
        };
    }

    private static readonly (int, int)[] Japanese = Ranges(
        "3005 3007 3041-3096 309D-309E 30A1-30FA 30FC-30FE 3400-4DBF 4E00-9FFF 20000-3134A"
    );
    private static readonly (int, int)[] ArabicDigits = Ranges("0660-0669"),
        ExtendedArabicDigits = Ranges("06F0-06F9");

    /// <summary>Arabic letters that join to the one before; of these most join to the next one too (Joining_Type D).</summary>
    private static bool Joins(int c) => In(ArabicLetters, c) && c is not (0x0621 or 0x0674);

    private static bool JoinsOn(int c) => Joins(c) && !In(RightJoining, c);

    private static readonly (int, int)[] ArabicLetters = Ranges(
        "0620-063F 0641-064A 066E-066F 0671-06D3 06D5 06EE-06EF 06FA-06FC 06FF"
    );
    private static readonly (int, int)[] RightJoining = Ranges(
        "0622-0625 0627 0629 062F-0632 0648 0671-0673 0675-0677 0688-0699 06C0 06C3-06CB 06CD 06CF 06D2-06D3 06D5 06EE-06EF"
    );

    private static bool In((int From, int To)[] ranges, int c) => Array.Exists(ranges, r => c >= r.From && c <= r.To);

    private static (int, int)[] Ranges(string hex) =>
        [
            .. hex.Split((char[])[' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries)
                .Select(r => r.Split('-'))
                .Select(r => (Convert.ToInt32(r[0], 16), Convert.ToInt32(r[^1], 16))),
        ];
}
