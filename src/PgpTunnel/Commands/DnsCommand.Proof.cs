using System.CommandLine;
using PgpTunnel.Dns;

namespace PgpTunnel.Commands;

/// <summary>Proofs of what the DNS said, to be checked later by somebody who asks nobody.</summary>
internal static partial class DnsCommand
{
    private static readonly Option<string> OutputOption = new("--output")
    {
        Description = "The file to write; it must not be there yet.",
        HelpName = "FILE",
        Required = true,
    };
    private static readonly Argument<string> ProofArgument = new("FILE");
    private static readonly Option<string> MomentOption = new("--at")
    {
        Description = "The moment for which it is to hold.",
        HelpName = "RFC3339",
        Required = true,
    };

    private static Command CreateProof() =>
        Cli.Command(
            "proof",
            "Makes one validated look-up, and writes down all that its verdict rests on, from the trust anchor down (RFC 9102).",
            "pgptunnel dns proof _pgptunnel.b.example TXT --output b.proof",
            ProveAsync,
            NameArgument,
            TypeArgument,
            OutputOption,
            ResolverOption,
            AnchorOption
        );

    private static Command CreateVerify() =>
        Cli.Command(
            "verify",
            "Checks such a proof for a moment, and asks nobody; exit code 65 where it does not hold.",
            "pgptunnel dns verify b.proof --at 2026-11-27T08:00:00Z",
            VerifyAsync,
            ProofArgument,
            MomentOption,
            AnchorOption
        );

    private static async Task<int> ProveAsync(ParseResult parse, CancellationToken cancel)
    {
        var (name, type) = Question(parse);
        var file = parse.GetRequiredValue(OutputOption);
        var configuration = parse.GetValue(Cli.Config) is null ? null : parse.Configuration();
        var answer = await ProvedAsync(ValidatorFor(parse, configuration, TimeProvider.System), name, type, cancel);
        if (answer.Proof is not { } proof)
            throw new CommandException(
                answer.Security == DnsSecurity.Indeterminate ? Exit.Temporary : Exit.Data,
                $"there is nothing to write down: {answer.Security}, {answer.Why}"
            );
        try
        {
            if (File.Exists(file))
                throw new IOException("it is there already");
            File.WriteAllBytes(file, proof.ToStream());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"cannot write {file}: {e.Message}");
        }
        return Report(parse, answer);
    }

    private static async Task<int> VerifyAsync(ParseResult parse, CancellationToken cancel)
    {
        var (file, time) = (parse.GetRequiredValue(ProofArgument), At(parse.GetRequiredValue(MomentOption)));
        try
        {
            var (name, type, records) = DnsProof.Read(File.ReadAllBytes(file));
            var validator = new DnsValidator(new RecordedAnswers(records), AnchorsFor(parse, null), time);
            var answer = await ProvedAsync(validator, name, type, cancel);
            return Report(parse, answer, answer.Security <= DnsSecurity.Insecure ? Exit.Ok : Exit.Data);
        }
        catch (DnsFormatException e)
        {
            throw new CommandException(Exit.Data, $"{file} is no proof: {e.Message}");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CommandException(Exit.Unavailable, $"{file}: {e.Message}{OwnFiles.WhyNot(file)}");
        }
    }

    private static Task<DnsAnswer> ProvedAsync(
        DnsValidator validator,
        DomainName name,
        ushort type,
        CancellationToken cancel
    ) => validator.LookupAsync(name, type, cancel, budget: new WorkBudget { KeepsProof = true });
}
