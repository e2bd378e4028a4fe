using System.Buffers.Binary;
using System.Net;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>The ways in which they are odd.</summary>
public sealed partial class OddResolverTests
{
    private static byte[] With(byte[] answer, int at, byte value)
    {
        var changed = (byte[])answer.Clone();
        changed[at] = value;
        return changed;
    }

    private static byte[] Rcode(byte[] query, byte rcode) =>
        [query[0], query[1], 0x81, (byte)(0x80 | rcode), 0, 0, 0, 0, 0, 0, 0, 0];

    private static byte[] WithQuestion(byte[] query, byte rcode) =>
        With(With(With(query, 2, 0x81), 3, (byte)(0x80 | rcode)), 11, 0)[..^11];

    /// <summary>An empty NOERROR: every section gone, as a filter leaves it that cuts what it does not know.</summary>
    private static byte[] Emptied(byte[] query) => WithQuestion(query, 0);

    /// <summary>Without the records of some types, counts and all, as middleboxes strip what they do not know.</summary>
    private static byte[] Strip(byte[] answer, params ushort[] types)
    {
        var message = DnsMessage.Parse(answer);
        static byte[] Records(IEnumerable<DnsRecord> records) =>
            [
                .. records.SelectMany(r =>
                    (byte[])
                        [
                            .. r.Name.Wire,
                            (byte)(r.Type >> 8),
                            (byte)r.Type,
                            0,
                            1,
                            0,
                            0,
                            1,
                            44,
                            (byte)(r.Rdata.Length >> 8),
                            (byte)r.Rdata.Length,
                            .. r.Rdata,
                        ]
                ),
            ];
        var (kept, authority) = (
            message.Answer.Where(r => !types.Contains(r.Type)).ToList(),
            message.Authority.Where(r => !types.Contains(r.Type)).ToList()
        );
        return
        [
            answer[0],
            answer[1],
            0x81,
            (byte)(0xA0 | message.Rcode),
            0,
            1,
            0,
            (byte)kept.Count,
            0,
            (byte)authority.Count,
            0,
            0, // AD set, as if it had validated
            .. message.QuestionName.Wire,
            (byte)(message.QuestionType >> 8),
            (byte)message.QuestionType,
            0,
            1,
            .. Records(kept),
            .. Records(authority),
        ];
    }

    /// <summary>
    /// By name: what it does, and what the reason must name when it is the only resolver; empty = it serves all the same.
    /// </summary>
    private static readonly Dictionary<string, (Oddity Oddity, string Names)> Oddities = new()
    {
        ["udp: half of the datagram"] = ((_, a, tcp, _) => [tcp ? a : a[..(a.Length / 2)]], ""),
        ["udp: cut in its last octet"] = ((_, a, tcp, _) => [tcp ? a : a[..^1]], ""),
        ["udp: the header alone, with counts"] = ((_, a, tcp, _) => [tcp ? a : a[..12]], ""),
        ["udp: one record fewer than counted"] = ((q, a, tcp, _) => [tcp ? a : With(Emptied(q), 7, 1)], ""),
        ["udp: TC and rubbish"] = (
            (_, a, tcp, _) => [tcp ? a : [a[0], a[1], 0x83, 0x80, 0, 1, 0, 9, 0, 9, 0, 9, .. a[12..^4]]],
            ""
        ),
        ["udp: TC with nothing but the header"] = (
            (q, a, tcp, _) =>
                tcp
                    ? [a]
                    :
                    [
                        [q[0], q[1], 0x83, 0x80, .. new byte[8]],
                    ],
            ""
        ),
        ["udp: emptied without TC"] = ((q, a, tcp, _) => [tcp ? a : Emptied(q)], ""),
        ["udp: no signatures in datagrams"] = (
            (_, a, tcp, _) => [tcp || (a[2] & 2) != 0 ? a : Strip(a, RecordType.RRSIG, RecordType.NSEC)],
            ""
        ),
        ["udp: silent"] = ((_, a, tcp, _) => tcp ? [a] : null, ""),
        ["udp: only strays"] = ((_, a, tcp, _) => [tcp ? a : With(a, 0, (byte)(a[0] ^ 0xFF))], ""),
        ["udp: a stray and an other question first"] = (
            (_, a, tcp, _) => [With(a, 0, (byte)(a[0] ^ 0xFF)), With(a, 13, (byte)'x'), a],
            ""
        ),
        ["SERVFAIL once"] = ((q, a, _, n) => [n == 0 ? WithQuestion(q, 2) : a], ""),
        ["SERVFAIL as a bare header once"] = ((q, a, _, n) => [n == 0 ? Rcode(q, 2) : a], ""),
        ["tcp: closes the first"] = (
            (q, a, tcp, n) =>
                tcp
                    ? n == 0
                        ? null
                        : [a]
                    :
                    [
                        [q[0], q[1], 0x83, 0x80, .. new byte[8]],
                    ],
            ""
        ),
        ["tcp: another id first"] = (
            (q, a, tcp, _) =>
                tcp
                    ? [With(a, 0, (byte)(a[0] ^ 0xFF)), a]
                    :
                    [
                        [q[0], q[1], 0x83, 0x80, .. new byte[8]],
                    ],
            ""
        ),
        ["FORMERR"] = ((q, _, _, _) => [WithQuestion(q, 1)], "FORMERR: it has no EDNS"),
        ["FORMERR as a bare header"] = ((q, _, _, _) => [Rcode(q, 1)], "FORMERR: it has no EDNS"),
        ["NOTIMP as a bare header"] = ((q, _, _, _) => [Rcode(q, 4)], "NOTIMP: it has no EDNS"),
        ["REFUSED"] = ((q, _, _, _) => [WithQuestion(q, 5)], "REFUSED: it does not serve"),
        ["REFUSED as a bare header"] = ((q, _, _, _) => [Rcode(q, 5)], "REFUSED: it does not serve"),
        ["NOERROR as a bare header"] = ((q, _, _, _) => [Rcode(q, 0)], "without a question"),
        ["NXDOMAIN as a bare header"] = ((q, _, _, _) => [Rcode(q, 3)], "without a question"),
        ["SERVFAIL always"] = ((q, _, _, _) => [WithQuestion(q, 2)], "SERVFAIL"),
        ["strips signatures"] = (
            (_, a, _, _) => [(a[2] & 2) != 0 ? a : Strip(a, RecordType.RRSIG, RecordType.NSEC)],
            "strips DNSSEC signatures"
        ),
        ["cuts everywhere"] = ((_, a, _, _) => [a[..(a.Length / 2)]], "ends early"),
        ["TC everywhere"] = ((_, a, _, _) => [With(a, 2, 0x83)], "cut short (TC)"),
        ["closes every connection"] = (
            (q, _, tcp, _) =>
                tcp
                    ? null
                    :
                    [
                        [q[0], q[1], 0x83, 0x80, .. new byte[8]],
                    ],
            "closed the connection"
        ),
        ["silent"] = ((_, _, tcp, _) => tcp ? [] : null, "no answer in time"),
    };
}
