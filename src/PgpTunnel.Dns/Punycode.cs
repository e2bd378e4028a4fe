using System.Text;

namespace PgpTunnel.Dns;

/// <summary>
/// Bootstring with the parameters of Punycode (RFC 3492). .NET's own is only to be had with the rules of IDNA 2003 round it, which refuse
/// names that IDNA 2008 has, such as right-to-left labels that end in a digit (RFC 5893 1.3).
/// </summary>
internal static class Punycode
{
    private const int Base = 36,
        Least = 1,
        Most = 26,
        Skew = 38,
        Damp = 700;

    /// <summary>The code points of one label in ASCII, without <c>xn--</c> (RFC 3492 6.3).</summary>
    /// <param name="label">At most 63: the work grows with the square, and no number can overflow (RFC 3492 6.4).</param>
    public static string Encode(IReadOnlyList<int> label)
    {
        var output = new StringBuilder();
        foreach (var c in label.Where(c => c < 0x80))
            output.Append((char)c);
        var (basic, done) = (output.Length, output.Length);
        if (basic > 0)
            output.Append('-');
        var (next, delta, bias) = (0x80, 0, 72);
        while (done < label.Count)
        {
            var smallest = label.Where(c => c >= next).Min();
            delta += (smallest - next) * (done + 1);
            next = smallest;
            foreach (var c in label)
            {
                if (c < next)
                    delta++;
                if (c != next)
                    continue;
                AppendNumber(output, delta, bias);
                bias = Adapt(delta, done + 1, first: done == basic);
                delta = 0;
                done++;
            }
            delta++;
            next++;
        }
        return output.ToString();
    }

    private static void AppendNumber(StringBuilder output, int number, int bias)
    {
        for (var k = Base; ; k += Base)
        {
            var threshold = Math.Clamp(k - bias, Least, Most);
            if (number < threshold)
                break;
            output.Append(Digit(threshold + (number - threshold) % (Base - threshold)));
            number = (number - threshold) / (Base - threshold);
        }
        output.Append(Digit(number));
    }

    private static char Digit(int value) => (char)(value < 26 ? 'a' + value : '0' + value - 26);

    /// <summary>RFC 3492 6.1.</summary>
    private static int Adapt(int delta, int points, bool first)
    {
        delta = first ? delta / Damp : delta / 2;
        delta += delta / points;
        var k = 0;
        for (; delta > (Base - Least) * Most / 2; k += Base)
            delta /= Base - Least;
        return k + (Base - Least + 1) * delta / (delta + Skew);
    }
}
