using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace PgpTunnel.Commands;

/// <summary>Exit codes of sysexits.h.</summary>
internal static class Exit
{
    public const int Ok = 0,
        Usage = 64,
        Data = 65,
        Unavailable = 69,
        Software = 70,
        CannotCreate = 73,
        Temporary = 75,
        Refused = 77,
        Configuration = 78;

    public static readonly IReadOnlyList<(int Code, string Meaning)> Meanings =
    [
        (Ok, "Done."),
        (Usage, "The command line is wrong."),
        (Data, "Bad data: it will not open, or is not valid, or was not found."),
        (Unavailable, "What is needed does not answer, or may not be read."),
        (Software, "A fault of the program."),
        (CannotCreate, "Something cannot be written, or is there already."),
        (Temporary, "Not now; try again."),
        (Refused, "Refused by policy."),
        (Configuration, "The configuration is wrong."),
    ];
}

/// <summary>Ends a command with a message on stderr and an exit code.</summary>
internal sealed class CommandException(int code, string message) : Exception(message)
{
    public int Code => code;
}

/// <summary>What every command shares: the common options, and one way to report.</summary>
internal static class Cli
{
    public static readonly Option<string?> Config = new("--config")
    {
        Description = "Configuration file (default: ./pgptunnel.json, then /etc/pgptunnel/pgptunnel.json).",
        HelpName = "FILE",
        Recursive = true,
    };
    public static readonly Option<bool> Json = new("--json")
    {
        Description = "Report as one JSON document on stdout.",
        Recursive = true,
    };

    private static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter() },
    };

    public static GatewayConfiguration Configuration(this ParseResult parse) =>
        ConfigurationReader.Read(ConfigurationReader.Find(parse.GetValue(Config)));

    public static readonly Option<bool> Yes = new("--yes") { Description = "Do not ask." };

    public static readonly Option<string?> Reason = new("--reason")
    {
        Description = "Why, for the journal.",
        HelpName = "TEXT",
    };

    /// <summary>Why an administrator does it; empty = none was given.</summary>
    public static string ReasonGiven(this ParseResult parse) =>
        parse.GetValue(Reason) is not { } reason ? ""
        : reason.Any(char.IsControl)
            ? throw new CommandException(Exit.Usage, "--reason: give one line of text; nothing was done")
        : reason;

    /// <summary>What an administrator does by this command, on record.</summary>
    public static Acts ActsOn(this ParseResult parse, Spool spool) =>
        new(spool, TimeProvider.System, Acts.Who, parse.ReasonGiven());

    /// <summary>Asks before what cannot be undone. Without a terminal to ask at, and without --yes, nothing is done.</summary>
    /// <param name="what">What would be done, a sentence.</param>
    public static void Confirm(this ParseResult parse, string what)
    {
        if (parse.GetValue(Yes))
            return;
        if (Console.IsInputRedirected)
            throw new CommandException(
                Exit.Usage,
                $"{what} There is no terminal to ask at: give --yes to do so. Nothing was done."
            );
        Console.Error.Write($"{what} Go on? [y/N] ");
        if (Console.In.ReadLine()?.Trim().ToLowerInvariant() is not ("y" or "yes"))
            throw new CommandException(Exit.Usage, "Nothing was done.");
    }

    /// <summary>JSON when asked for, else the text.</summary>
    public static int Report(this ParseResult parse, object json, string text, int code = Exit.Ok)
    {
        Console.Out.WriteLine(parse.GetValue(Json) ? JsonSerializer.Serialize(json, Format) : text.TrimEnd('\n'));
        return code;
    }

    /// <summary>A failure as the one JSON document on stdout, where JSON was asked for.</summary>
    public static void ReportError(bool json, string message, int code)
    {
        try
        {
            if (json)
                Console.Out.WriteLine(JsonSerializer.Serialize(new { error = message, exitCode = code }, Format));
        }
        catch (IOException)
        {
            // Where stdout takes nothing more, the exit code still says it.
        }
    }

    /// <summary>A command whose help ends with an example.</summary>
    public static Command Command(
        string name,
        string description,
        string example,
        Func<ParseResult, CancellationToken, Task<int>> action,
        params ReadOnlySpan<Symbol> symbols
    )
    {
        var command = new Command(name, $"{description}\n\nExample:\n  {example}");
        foreach (var symbol in symbols)
        {
            if (symbol is Option option)
                command.Add(option);
            else if (symbol is Argument argument)
                command.Add(argument);
        }
        command.SetAction(action);
        return command;
    }

    /// <summary>Of a command none of whose values may be empty, as an unset variable of a shell makes them.</summary>
    public static Command WithoutEmptyValues(this Command command)
    {
        foreach (var argument in command.Arguments)
            argument.Validators.Add(r => RefuseEmpty(r, argument.Name));
        foreach (var option in command.Options)
            option.Validators.Add(r => RefuseEmpty(r, option.Name));
        return command;
    }

    private static void RefuseEmpty(SymbolResult result, string name)
    {
        if (result.Tokens.Any(t => t.Value.Length == 0))
            result.AddError($"{name}: the value is empty");
    }

    public static Command Group(string name, string description, params ReadOnlySpan<Command> commands)
    {
        var group = new Command(
            name,
            $"{description} Commands: {string.Join(", ", commands.ToArray().Select(c => c.Name))}."
        );
        foreach (var command in commands)
            group.Add(command);
        return group;
    }

    private const int MostWrong = 2;

    /// <summary>The command that was probably meant, where a word is none.</summary>
    public static string Suggestion(ParseResult parsed, string error)
    {
        var word = error.Split('\'') is [_, var quoted, ..] ? quoted : "";
        var command = parsed.CommandResult.Command;
        var near = command
            .Subcommands.Select(c => c.Name)
            .Concat(command.Options.Append(Config).Append(Json).Select(o => o.Name))
            .Where(n => word.Length > 1 && n != word && ConfigurationNode.Distance(n, word) <= MostWrong)
            .OrderBy(n => ConfigurationNode.Distance(n, word))
            .FirstOrDefault();
        return near is null ? "" : $" Did you mean '{near}'?";
    }

    /// <summary>Columns aligned by blanks, for terminals and pipes alike.</summary>
    public static string Table(IReadOnlyList<string[]> rows)
    {
        var widths = Enumerable.Range(0, rows[0].Length).Select(i => rows.Max(r => r[i].Length)).ToArray();
        return string.Join(
            '\n',
            rows.Select(r => string.Join("  ", r.Select((cell, i) => cell.PadRight(widths[i]))).TrimEnd())
        );
    }
}
