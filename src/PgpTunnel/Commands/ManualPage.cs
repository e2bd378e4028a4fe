using System.Text;

namespace PgpTunnel.Commands;

/// <summary>A page in the form that man(7) describes.</summary>
internal sealed class ManualPage
{
    private readonly StringBuilder _text = new();

    /// <param name="name">The line under NAME, <c>what \- what it is</c>.</param>
    public ManualPage(string title, int section, string name)
    {
        var version = typeof(ManualPage).Assembly.GetName().Version!.ToString(3);
        _text.Append($".TH {title} {section} \"\" \"PgpTunnel {version}\" \"PgpTunnel\"\n.SH NAME\n{name}\n");
    }

    public ManualPage Heading(string heading) => Raw($".SH {heading}");

    public ManualPage Section(string heading) => Raw($".SS \"{Escape(heading).Replace("\"", "\\(dq")}\"");

    public ManualPage Line(string line) => Raw($".B {Escape(line)}");

    public ManualPage Text(string paragraph) => Raw($".PP\n{Escape(paragraph)}");

    /// <summary>What is described stands in front of its description.</summary>
    public ManualPage Item(string what, string description) => Raw($".TP\n.B {Escape(what)}\n{Escape(description)}");

    public ManualPage Example(string line) => Raw($".PP\nExample:\n.RS\n.nf\n{Escape(line)}\n.fi\n.RE");

    private ManualPage Raw(string lines)
    {
        _text.Append(lines).Append('\n');
        return this;
    }

    /// <summary>Nothing of a text is taken for a request or an escape.</summary>
    private static string Escape(string text)
    {
        var escaped = text.Replace("\\", "\\e").Replace("-", "\\-").Replace("'", "\\(aq").Replace("\n", " ");
        return escaped.StartsWith('.') ? $"\\&{escaped}" : escaped;
    }

    public override string ToString() => _text.ToString();
}
