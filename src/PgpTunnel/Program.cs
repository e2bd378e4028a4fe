using System.CommandLine;
using PgpTunnel;
using PgpTunnel.Commands;

var parsed = Root.Create().Parse(args);
if (parsed.Errors.Count > 0)
{
    foreach (var error in parsed.Errors)
        Console.Error.WriteLine($"pgptunnel: {error.Message}{Cli.Suggestion(parsed, error.Message)}");
    Cli.ReportError(args.Contains("--json"), string.Join('\n', parsed.Errors.Select(e => e.Message)), Exit.Usage);
    Console.Error.WriteLine("pgptunnel: see --help");
    return Exit.Usage;
}
try
{
    return await parsed.InvokeAsync(
        new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }
    );
}
catch (Exception e)
{
    foreach (var line in e.Message.Split('\n'))
        Console.Error.WriteLine($"pgptunnel: {line}");
    var code = e switch
    {
        CommandException c => c.Code,
        ConfigurationException => Exit.Configuration,
        SpoolException => Exit.CannotCreate,
        IOException or UnauthorizedAccessException => Exit.Unavailable,
        OperationCanceledException => Exit.Temporary,
        _ => Exit.Software,
    };
    Cli.ReportError(parsed.GetValue(Cli.Json), e.Message, code);
    return code;
}
