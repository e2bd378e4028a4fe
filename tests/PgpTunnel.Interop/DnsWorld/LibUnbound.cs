using System.Runtime.InteropServices;

namespace PgpTunnel.Interop;

/// <summary>One verdict of libunbound.</summary>
internal sealed record UnboundVerdict(
    int Rcode,
    bool HaveData,
    bool NxDomain,
    bool Secure,
    bool Bogus,
    IReadOnlyList<byte[]> Data,
    string Why
);

/// <summary>libunbound (Debian libunbound8) as a second opinion: a validating stub that asks one forwarder. Tests only.</summary>
internal sealed partial class LibUnbound : IDisposable
{
    private const string Library = "libunbound.so.8";
    private readonly nint _context;

    public LibUnbound(System.Net.IPEndPoint forwarder, string anchorFile)
    {
        _context = Create();
        // What would answer from other answers instead of asking hides the mutation under test.
        foreach (
            var (option, value) in new[]
            {
                ("do-not-query-localhost:", "no"),
                ("aggressive-nsec:", "no"),
                ("harden-below-nxdomain:", "no"),
                ("prefetch:", "no"),
                ("val-bogus-ttl:", "60"),
                ("edns-buffer-size:", "4096"),
                ("do-ip6:", "no"),
                ("module-config:", "validator iterator"),
                ("logfile:", "/dev/null"),
            }
        )
            Check(SetOption(_context, option, value), option);
        Check(SetForwarder(_context, $"{forwarder.Address}@{forwarder.Port}"), "forwarder");
        Check(AddAnchors(_context, anchorFile), "trust anchors");
    }

    public UnboundVerdict Resolve(string name, ushort type)
    {
        Check(Resolve(_context, name, type, 1, out var pointer), name);
        try
        {
            var result = Marshal.PtrToStructure<Result>(pointer);
            var data = new List<byte[]>();
            for (
                var i = 0;
                result.Data != 0 && Marshal.ReadIntPtr(result.Data, i * nint.Size) is var item && item != 0;
                i++
            )
            {
                var octets = new byte[Marshal.ReadInt32(result.Lengths, i * sizeof(int))];
                Marshal.Copy(item, octets, 0, octets.Length);
                data.Add(octets);
            }
            return new(
                result.Rcode,
                result.HaveData != 0,
                result.NxDomain != 0,
                result.Secure != 0,
                result.Bogus != 0,
                data,
                Marshal.PtrToStringUTF8(result.WhyBogus) ?? ""
            );
        }
        finally
        {
            FreeResult(pointer);
        }
    }

    public void Dispose() => Delete(_context);

    private static void Check(int error, string what)
    {
        if (error != 0)
            throw new InvalidOperationException($"libunbound: {what}: error {error}");
    }

    /// <summary><c>struct ub_result</c> of unbound.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Result
    {
        public nint Name;
        public int Type,
            Class;
        public nint Data,
            Lengths,
            CanonicalName;
        public int Rcode;
        public nint Packet;
        public int PacketLength,
            HaveData,
            NxDomain,
            Secure,
            Bogus;
        public nint WhyBogus;
        public int RateLimited,
            Ttl;
    }

    [LibraryImport(Library, EntryPoint = "ub_ctx_create")]
    private static partial nint Create();

    [LibraryImport(Library, EntryPoint = "ub_ctx_delete")]
    private static partial void Delete(nint context);

    [LibraryImport(Library, EntryPoint = "ub_ctx_set_option", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetOption(nint context, string option, string value);

    [LibraryImport(Library, EntryPoint = "ub_ctx_set_fwd", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetForwarder(nint context, string address);

    [LibraryImport(Library, EntryPoint = "ub_ctx_add_ta_file", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int AddAnchors(nint context, string file);

    [LibraryImport(Library, EntryPoint = "ub_resolve", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Resolve(nint context, string name, int type, int @class, out nint result);

    [LibraryImport(Library, EntryPoint = "ub_resolve_free")]
    private static partial void FreeResult(nint result);
}
