export const addressOf = (path: string) =>
  `/edit/${path.split('/').map(encodeURIComponent).join('/')}`;
