using System.CommandLine;
using System.Text;

namespace PgpTunnel.Commands;

/// <summary>
/// <c>manual</c>: the pages that a package installs, made from what <c>--help</c> prints and what the configuration says of its keys.
/// </summary>
internal static class ManualCommand
{
    private static readonly Argument<string> PageArgument = new("PAGE")
    {
        Description = "pgptunnel, the command; or pgptunnel.json, its configuration.",
    };

    public static Command Create()
    {
        PageArgument.AcceptOnlyFromAmong("pgptunnel", "pgptunnel.json");
        return Cli.Command(
            "manual",
            "Prints a page of the manual, for man(1).",
            "pgptunnel manual pgptunnel.json | man -l -",
            (parse, _) =>
            {
                var root = (RootCommand)parse.RootCommandResult.Command;
                var page = parse.GetRequiredValue(PageArgument) == "pgptunnel" ? OfCommand(root) : OfConfiguration();
                return Task.FromResult(parse.Report(new { page }, page));
            },
            PageArgument
        );
    }

    private static string OfCommand(RootCommand root)
    {
        var page = new ManualPage("PGPTUNNEL", 1, $"pgptunnel \\- {Description(root)[0].Split(": ")[1]}");
        page.Heading("SYNOPSIS").Line("pgptunnel COMMAND [OPTIONS]");
        page.Heading("DESCRIPTION")
            .Text(
                "Encrypted mail between companies, without anyone noticing. Each partner runs one gateway beside its mail server."
            );
        page.Heading("COMMON OPTIONS");
        foreach (var option in new Option[] { Cli.Config, Cli.Json })
            page.Item(Usage(option), option.Description ?? "");
        page.Heading("COMMANDS");
        foreach (var command in root.Subcommands.SelectMany(Leaves))
            Write(page, command);
        page.Heading("EXIT STATUS");
        foreach (var (code, meaning) in Exit.Meanings)
            page.Item($"{code}", meaning);
        page.Heading("FILES")
            .Item(
                "./pgptunnel.json, /etc/pgptunnel/pgptunnel.json",
                "The configuration, where --config names no other."
            )
            .Item("/var/lib/pgptunnel", "Keys and spool, where a package put them.");
        page.Heading("ENVIRONMENT")
            .Item("PGPTUNNEL__SECTION__KEY", "A value in the place of one in the configuration.")
            .Item("OTEL_EXPORTER_OTLP_ENDPOINT", "Where metrics, traces and the log go as well.");
        page.Heading("SEE ALSO").Text("pgptunnel.json(5), /usr/share/doc/pgptunnel/README.md");
        return page.ToString();
    }

    private static IEnumerable<Command> Leaves(Command command) =>
        command.Hidden ? []
        : command.Subcommands.Count == 0 ? [command]
        : command.Subcommands.SelectMany(Leaves);

    private static void Write(ManualPage page, Command command)
    {
        var usage = new StringBuilder(NameOf(command));
        foreach (var argument in command.Arguments)
            usage.Append(argument.Arity.MinimumNumberOfValues > 0 ? $" {argument.Name}" : $" [{argument.Name}]");
        foreach (var option in command.Options.Where(o => o.Required))
            usage.Append(' ').Append(Usage(option));
        page.Section(usage.ToString());
        var (text, example) = (Description(command)[0], Description(command)[1..]);
        page.Text(text);
        foreach (var argument in command.Arguments)
            page.Item(argument.Name, argument.Description ?? "");
        foreach (var option in command.Options.Where(o => !o.Hidden && o.Name != "--help"))
            page.Item(Usage(option), option.Description ?? "");
        foreach (var line in example.Select(l => l.Trim()).Where(l => l.Length > 0 && l != "Example:"))
            page.Example(line);
    }

    private static string[] Description(Command command) => (command.Description ?? "").Split('\n');

    private static string NameOf(Command command) =>
        string.Join(
            ' ',
            command.Parents.OfType<Command>().Where(p => p is not RootCommand).Select(NameOf).Append(command.Name)
        );

    private static string Usage(Option option) =>
        option.ValueType == typeof(bool) ? option.Name : $"{option.Name} {option.HelpName ?? "VALUE"}";

    private static string OfConfiguration()
    {
        var page = new ManualPage("PGPTUNNEL.JSON", 5, "pgptunnel.json \\- configuration of pgptunnel(1)");
        page.Heading("DESCRIPTION")
            .Text(
                "One JSON object; // comments are allowed. Relative paths are relative to the file. Unknown keys are an error."
            )
            .Text("PGPTUNNEL__SECTION__KEY in the environment stands above it, lists as JSON.")
            .Text("'pgptunnel config check' names every mistake.");
        page.Heading("KEYS");
        foreach (var setting in SettingText.All)
            page.Item(string.Join(", ", setting.Keys), $"{setting.Text} Default: {setting.Default}.");
        page.Heading("FILES").Item("/etc/pgptunnel/pgptunnel.json", "The configuration of a package.");
        page.Heading("SEE ALSO").Text("pgptunnel(1)");
        return page.ToString();
    }
}
