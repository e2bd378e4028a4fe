using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace PgpTunnel.Dns;

/// <summary>
/// Questions over TCP: one connection, kept while it is used, on which they do not wait for each other's answers (RFC 7766 6.2.1).
/// </summary>
[SuppressMessage("Reliability", "CA1001", Justification = "A semaphore without a wait handle holds nothing.")]
internal sealed class DnsTcp(IPEndPoint address)
{
    private readonly SemaphoreSlim _opening = new(1, 1);
    private volatile Connection? _connection;

    /// <exception cref="SocketException">It cannot be reached.</exception>
    /// <exception cref="IOException">It closed the connection without an answer, also a new one.</exception>
    /// <exception cref="DnsFormatException">The answer is cut short or malformed.</exception>
    /// <exception cref="OperationCanceledException">The time is over.</exception>
    public async Task<DnsMessage> AskAsync(DomainName name, ushort type, CancellationToken deadline)
    {
        while (true)
        {
            var connection = await ConnectionAsync(deadline);
            try
            {
                return await connection.AskAsync(name, type, deadline);
            }
            catch (IOException) when (connection.HasAnswered)
            {
                // The server may close a connection whenever it likes (RFC 7766 6.2.4): what was asked on it is asked on a new one.
            }
        }
    }

    private async Task<Connection> ConnectionAsync(CancellationToken deadline)
    {
        if (_connection is { IsGood: true } open)
            return open;
        await _opening.WaitAsync(deadline);
        try
        {
            return _connection is { IsGood: true } opened
                ? opened
                : _connection = await Connection.OpenAsync(address, deadline);
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <summary>One connection; answers find who asked by their id.</summary>
    [SuppressMessage(
        "Reliability",
        "CA1001",
        Justification = "It ends, and disposes of what it holds, when nothing is said on it any more."
    )]
    private sealed class Connection
    {
        private const string Closed = "the resolver closed the connection without an answer";
        private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(10);

        private readonly NetworkStream _stream;
        private readonly ConcurrentDictionary<
            ushort,
            (DomainName Name, ushort Type, TaskCompletionSource<DnsMessage> Answer)
        > _asked = new();
        private readonly SemaphoreSlim _writing = new(1, 1);
        private readonly CancellationTokenSource _quiet = new(Quiet);
        private volatile bool _ended;

        private Connection(Socket socket) => _stream = new NetworkStream(socket, ownsSocket: true);

        public bool IsGood => !_ended;

        /// <summary>It was good for something.</summary>
        public bool HasAnswered { get; private set; }

        public static async Task<Connection> OpenAsync(IPEndPoint address, CancellationToken deadline)
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(address, deadline);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
            var connection = new Connection(socket);
            _ = connection.ReadAsync();
            return connection;
        }

        public async Task<DnsMessage> AskAsync(DomainName name, ushort type, CancellationToken deadline)
        {
            var answer = new TaskCompletionSource<DnsMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
            ushort id;
            do id = (ushort)RandomNumberGenerator.GetInt32(65536);
            while (!_asked.TryAdd(id, (name, type, answer)));
            try
            {
                await WriteAsync(DnsMessage.Query(id, name, type), deadline);
                if (_ended)
                    throw new IOException(Closed);
                return await answer.Task.WaitAsync(deadline);
            }
            catch (OperationCanceledException)
            {
                _ended = true; // who answers nothing any more is asked on a new connection
                throw;
            }
            finally
            {
                _asked.TryRemove(id, out _);
            }
        }

        private async Task WriteAsync(byte[] query, CancellationToken deadline)
        {
            await _writing.WaitAsync(deadline);
            try
            {
                _quiet.CancelAfter(Quiet);
                await _stream.WriteAsync((byte[])[(byte)(query.Length >> 8), (byte)query.Length, .. query], deadline);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                throw new IOException(Closed, e);
            }
            finally
            {
                _writing.Release();
            }
        }

        /// <summary>Gives answers to those who asked, until the server closes or nothing has been said for a while.</summary>
        private async Task ReadAsync()
        {
            try
            {
                var length = new byte[2];
                while (true)
                {
                    await _stream.ReadExactlyAsync(length, _quiet.Token);
                    var message = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
                    await _stream.ReadExactlyAsync(message, _quiet.Token);
                    _quiet.CancelAfter(Quiet);
                    HasAnswered = true;
                    Give(message);
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
            {
                // However it was closed, and whether that was seen in reading or in writing: it is the same to who asked.
            }
            _ended = true;
            await _stream.DisposeAsync();
            foreach (var asked in _asked.Values)
                asked.Answer.TrySetException(new IOException(Closed));
            _quiet.Dispose();
        }

        /// <summary>A message that nobody asked for is passed over.</summary>
        private void Give(byte[] message)
        {
            if (message.Length < 2 || !_asked.TryGetValue(BinaryPrimitives.ReadUInt16BigEndian(message), out var asked))
                return;
            try
            {
                if (
                    DnsMessage.ReadAnswer(
                        message,
                        BinaryPrimitives.ReadUInt16BigEndian(message),
                        asked.Name,
                        asked.Type
                    )
                    is not { } answer
                )
                    asked.Answer.TrySetException(new DnsFormatException("the answer is to another question"));
                else if (answer.Truncated)
                    asked.Answer.TrySetException(new DnsFormatException("the answer is cut short (TC)"));
                else
                    asked.Answer.TrySetResult(answer);
            }
            catch (DnsFormatException e)
            {
                asked.Answer.TrySetException(e);
            }
        }
    }
}
