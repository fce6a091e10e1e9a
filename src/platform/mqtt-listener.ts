/** TCP and TLS connections for an MQTT broker (hub/broker.ts). */
import type { Result } from '#errors/fault.ts';
import type { Listening, RemotePeer, ServerTls } from './listener.ts';

export interface MqttListener {
  /**
   * @param options.messageCap  bytes of an MQTT packet after its fixed header; a connection that
   *                            announces more ends at that header, before it is buffered
   * @param accept  is given each connection as a node:stream Duplex, opaque outside platform/
   */
  listen(
    options: {
      readonly host: string;
      readonly port: number;
      readonly messageCap: number;
      readonly tls?: ServerTls;
    },
    accept: (stream: unknown, peer: RemotePeer) => void,
  ): Promise<Result<Listening>>;
}
