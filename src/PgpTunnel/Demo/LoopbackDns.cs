using System.Net;
using PgpTunnel.Dns;

namespace PgpTunnel.Demo;

/// <summary>Serves answers over UDP and TCP on one loopback port.</summary>
internal sealed class LoopbackDns : IAsyncDisposable
{
    private const int LargestDatagram = 1232,
        LargestMessage = 65535;

    private readonly Func<DomainName, ushort, WorldAnswer> _answer;
    private readonly LoopbackPort _port;

    public LoopbackDns(Func<DomainName, ushort, WorldAnswer> answer)
    {
        _answer = answer;
        _port = new LoopbackPort(
            (query, transport) =>
                ValueTask.FromResult<IReadOnlyList<byte[]>?>(
                    Respond(query, transport == DnsTransport.Udp ? LargestDatagram : LargestMessage) is { } response
                        ? [response]
                        : null
                )
        );
    }

    public IPEndPoint EndPoint => _port.EndPoint;

    private byte[]? Respond(ReadOnlySpan<byte> query, int largest)
    {
        DnsMessage question;
        try
        {
            question = DnsMessage.Parse(query);
        }
        catch (DnsFormatException)
        {
            return null;
        }
        var answer = _answer(question.QuestionName, question.QuestionType);
        var response = Encode(question, answer, false);
        return response.Length <= largest ? response : Encode(question, new WorldAnswer(answer.Rcode, [], []), true);
    }

    private static byte[] Encode(DnsMessage question, WorldAnswer answer, bool truncated)
    {
        var message = new List<byte>
        {
            (byte)(question.Id >> 8),
            (byte)question.Id,
            (byte)(truncated ? 0x83 : 0x81),
            (byte)(0x90 | answer.Rcode),
            0,
            1,
            0,
            (byte)answer.Answer.Count,
            0,
            (byte)answer.Authority.Count,
            0,
            1,
        };
        message.AddRange([
            .. question.QuestionName.Wire,
            (byte)(question.QuestionType >> 8),
            (byte)question.QuestionType,
            0,
            1,
        ]);
        foreach (var r in answer.Answer.Concat(answer.Authority))
            message.AddRange([
                .. r.Name.Wire,
                (byte)(r.Type >> 8),
                (byte)r.Type,
                (byte)(r.Class >> 8),
                (byte)r.Class,
                (byte)(r.Ttl >> 24),
                (byte)(r.Ttl >> 16),
                (byte)(r.Ttl >> 8),
                (byte)r.Ttl,
                (byte)(r.Rdata.Length >> 8),
                (byte)r.Rdata.Length,
                .. r.Rdata,
            ]);
        message.AddRange([0, 0, (byte)RecordType.OPT, 0x04, 0xD0, 0, 0, 0x80, 0, 0, 0]);
        return [.. message];
    }

    public ValueTask DisposeAsync() => _port.DisposeAsync();
}
